# Fuzz targets of src/model.
