import subprocess
import sys


def test_a_control_plane_starts_without_stripes_sdk() -> None:
    program = "import sys\nimport faregate.apps.control.main\nprint('stripe' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown == "False\n"
