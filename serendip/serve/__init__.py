"""Answers over HTTP: recommendations, similar items, health, metrics and a small page, from one bundle."""
