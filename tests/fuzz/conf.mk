# Fuzz targets of src/conf.
