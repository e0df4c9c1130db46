// Package stockclient is what a third party gets from the API's contract: a client that
// a public generator writes from broker/httpapi/openapi.yaml as it is, without what our
// own code is told beside it. Only tests use it: it shows that the contract is enough.
package stockclient

//go:generate go tool -modfile=../../../../../broker/httpapi/oapi-codegen.mod oapi-codegen -config oapi-codegen.yaml ../../../../../broker/httpapi/openapi.yaml
