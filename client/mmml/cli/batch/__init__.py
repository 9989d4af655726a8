"""``mmml batch``: a job for every row of a CSV file, taken up again where it was stopped."""
