//go:build tools

// Package etcd names the etcd server, so that go.mod and go.sum hold all it needs.
package etcd

import _ "go.etcd.io/etcd/server/v3"
