"""The model as statuses: conditions, reasons, counts."""
