"""What the operation log adds up to: figures by day, job, kind, actor and entity."""
