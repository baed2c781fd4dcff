"""Resources to Envoys: delta ADS over gRPC, make before break, and which replica has which Envoy."""
