"""The OpenAPI document: what each route takes and answers, in a table beside the table of routes."""
