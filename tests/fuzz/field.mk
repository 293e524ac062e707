# Fuzz targets of src/field.
