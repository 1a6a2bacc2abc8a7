"""One model per file; `serendip.model.find` and `names` see whatever lies here."""
