"""From frames to encoded data: schema, vocabularies, data sets, public sources and generated worlds."""
