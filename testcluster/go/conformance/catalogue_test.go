package conformance

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

type catalogue struct {
	Tests    []test    `json:"tests"`
	Profiles []profile `json:"profiles"`
}

type test struct {
	Name        string                 `json:"name"`
	Description string                 `json:"description"`
	Features    []features.FeatureName `json:"features"`
	Provisional bool                   `json:"provisional"`
}

type profile struct {
	Name     suite.ConformanceProfileName `json:"name"`
	Core     []features.FeatureName       `json:"core"`
	Extended []features.FeatureName       `json:"extended"`
}

var profiles = []suite.ConformanceProfile{
	suite.GatewayHTTPConformanceProfile, suite.GatewayTLSConformanceProfile, suite.GatewayTCPConformanceProfile,
	suite.GatewayUDPConformanceProfile, suite.GatewayGRPCConformanceProfile, suite.MeshHTTPConformanceProfile,
	suite.MeshGRPCConformanceProfile,
}

// TestCatalogue writes what the suite has, its tests and profiles with their features, as JSON to the file that
// CONFORMANCE_CATALOGUE names.
func TestCatalogue(t *testing.T) {
	path := os.Getenv("CONFORMANCE_CATALOGUE")
	if path == "" {
		t.Skip("CONFORMANCE_CATALOGUE names no file")
	}
	all := catalogue{}
	for _, one := range tests.ConformanceTests {
		all.Tests = append(all.Tests, test{one.ShortName, one.Description, slices.Clone(one.Features), one.Provisional})
	}
	for _, one := range profiles {
		all.Profiles = append(all.Profiles, profile{one.Name, sets.List(one.CoreFeatures), sets.List(one.ExtendedFeatures)})
	}
	written, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, written, 0o644); err != nil {
		t.Fatal(err)
	}
}
