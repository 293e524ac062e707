# Unit tests of src/field.
