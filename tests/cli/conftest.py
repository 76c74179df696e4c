"""The command, called in this process."""

import pytest

from upscale_bridge import cli


@pytest.fixture
def run(capsys):
    """Run the command; return its exit status, standard output and standard error."""

    def call(*arguments):
        capsys.readouterr()
        try:
            status = cli.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse ends this way
            status = stop.code
        return status, *capsys.readouterr()

    return call
