"""A small event platform: an oracle, a ready signal, a source, an ingest gate, an archive, a
decision lane, cases and labels, and a reporter. Each role is one process; see the README."""
