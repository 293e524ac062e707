# Unit tests of src/model.
