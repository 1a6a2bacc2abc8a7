"""Networks kept as ONNX models, which need not be trusted: what they ask for and give, and how they are run."""
