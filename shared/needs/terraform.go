package needs

import (
	"os"
	"testing"
)

// terraform names the variable that says how Terraform gets its provider.
const terraform = "CREDITS_TEST_TERRAFORM"

// Terraform returns how Terraform is to be checked, which CREDITS_TEST_TERRAFORM says: "registry", with the provider from its registry, or the
// path of a program that checks the folder that it is given. When it is unset, the test is skipped.
func Terraform(tb testing.TB) string {
	tb.Helper()
	return checkerOf(tb, os.Getenv)
}

func checkerOf(tb testing.TB, env environment) string {
	tb.Helper()
	checker := env(terraform)
	if checker == "" {
		absent(tb, env, "Terraform, and "+terraform+" to say how it gets its provider")
	}
	return checker
}
