"""`postwatch demo`: Postwatch with real mail servers, for a first look."""
