"""Encoders of histories, behind one interface: see `serendip.nn.sequence.encoder.Encoder`."""
