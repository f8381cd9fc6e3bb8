"""`postwatch demo`: the whole product beside real mail servers, for somebody new to it."""
