//go:build tools

package conformance

// The suite's backend is built from this module too, so go.mod and go.sum hold what it needs.
import _ "sigs.k8s.io/gateway-api/conformance/echo-basic"
