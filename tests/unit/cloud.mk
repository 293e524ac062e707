# Unit tests of src/cloud.
