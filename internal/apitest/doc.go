// Package apitest holds the server to openapi.yaml: its test makes a tour of
// the API and validates every request and response of it. It is a module of its
// own, so that the validator is no dependency of the SDK.
package apitest
