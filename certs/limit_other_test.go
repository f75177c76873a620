//go:build !unix

package certs

func limitSelf(string) {}

func plainUmask() {}
