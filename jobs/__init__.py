"""What gateway, reconciler and workers must agree about a job. Imports no other room."""
