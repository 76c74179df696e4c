"""What a vendor declares, as plain data and abstract classes; nothing here sends anything."""
