package dashboard

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// keyBytes is how long each key is.
const keyBytes = 32

// cookieMaxBytes is how long a cookie's value may be, so that every browser keeps it.
const cookieMaxBytes = 3900

// Keys seal cookies: the first seals, all open, so that a key can be replaced without signing everybody out.
type Keys [][]byte

// UnmarshalText reads keys of 32 bytes in base64, separated by commas, the one in use first.
func (k *Keys) UnmarshalText(text []byte) error {
	*k = nil
	for i, part := range strings.Split(string(text), ",") {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(part))
		if err != nil || len(key) != keyBytes {
			return fmt.Errorf("session key %d is not %d bytes in base64", i+1, keyBytes)
		}
		*k = append(*k, key)
	}
	return nil
}

var errSeal = errors.New("the cookie is not one of ours")

// sealer seals what a cookie holds, with AES-256-GCM under a key of its own for each cookie: nobody can read it, change it, or put one cookie
// in another's place.
type sealer struct {
	purpose string
	ciphers []cipher.AEAD
}

func newSealer(keys Keys, purpose string) (*sealer, error) {
	s := &sealer{purpose: purpose}
	for _, key := range keys {
		derived, err := hkdf.Key(sha256.New, key, nil, "ai-credits dashboard "+purpose, keyBytes)
		if err != nil {
			return nil, fmt.Errorf("derive the key of %s: %w", purpose, err)
		}
		block, err := aes.NewCipher(derived)
		if err != nil {
			return nil, fmt.Errorf("use the key of %s: %w", purpose, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("use the key of %s: %w", purpose, err)
		}
		s.ciphers = append(s.ciphers, aead)
	}
	if len(s.ciphers) == 0 {
		return nil, errors.New("no session key is given")
	}
	return s, nil
}

// seal returns a cookie's value.
func (s *sealer) seal(plain []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.ciphers[0].Seal(nil, nil, plain, []byte(s.purpose)))
}

// open returns what was sealed.
func (s *sealer) open(value string) ([]byte, error) {
	if len(value) > cookieMaxBytes {
		return nil, errSeal
	}
	sealed, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return nil, errSeal
	}
	for _, aead := range s.ciphers {
		if plain, err := aead.Open(nil, nil, sealed, []byte(s.purpose)); err == nil {
			return plain, nil
		}
	}
	return nil, errSeal
}

// secretText returns 26 characters that nobody can guess.
func secretText() string { return rand.Text() }
