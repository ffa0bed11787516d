// Package repository holds the checks that run over the whole tree with go test: what stands at the top, which way imports point, names that
// say nothing, formatting, tests that could be skipped unseen. It has no code of its own and owns no rule of the product.
package repository
