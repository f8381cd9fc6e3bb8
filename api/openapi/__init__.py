"""The contract as a document: OpenAPI 3.1, made from the tables that the API itself reads.

Pure: it knows no request and no store. Bodies come from the fields that read them,
answers from the keys that the shapes are made of.
"""
