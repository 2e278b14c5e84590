"""The data set of Parquet files in a local folder."""
