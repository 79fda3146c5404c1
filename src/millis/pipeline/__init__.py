"""What a command does, as functions of objects: inputs, teacher, student, artifact, record, study; no config here."""
