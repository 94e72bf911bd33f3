"""From an operation down to the records that it wrote, and whether they still stand so."""

from shared.tracing.tracer import RecordsForgotten, Tracer, WrittenPage, WrittenRecord

__all__ = ["RecordsForgotten", "Tracer", "WrittenPage", "WrittenRecord"]
