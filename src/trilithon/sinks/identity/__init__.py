"""Who may have whose configuration: the installation's certificate authority and the identities it gives."""
