"""`python -m anomaly_clustering` is the command `anomaly-clustering`."""

from anomaly_clustering.cli.main import main

if __name__ == "__main__":
    main()
