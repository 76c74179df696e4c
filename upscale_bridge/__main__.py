"""`python -m upscale_bridge` is the command `upscale-bridge`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
