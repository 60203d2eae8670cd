"""Providers as data, the price book, tokens and vocabularies: what is known before any call is made."""
