"""What users write: frozen, typed, spec only."""
