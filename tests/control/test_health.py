from tests.control.control_plane import Handle


def test_a_running_control_plane_is_alive_and_ready(control: Handle) -> None:
    assert control.ask("GET", "/healthz").json() == {"status": "ok"}
    ready = control.ask("GET", "/readyz")
    assert (ready.status, ready.json()) == (200, {"status": "ok", "checks": {"database": "ok", "metering": "ok"}})


def test_metrics_are_prometheus_text_and_count_requests_and_events(control: Handle) -> None:
    control.collect(b"[{}, {}]")
    control.collect(b"nothing")
    reply = control.ask("GET", "/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = reply.body.decode().splitlines()
    assert 'faregate_events_accepted_total{source="collector"} 2' in lines
    assert 'faregate_requests_total{area="v1",status="201"} 1' in lines
    assert 'faregate_requests_total{area="v1",status="400"} 1' in lines
    assert all(line.startswith(("#", "faregate_")) for line in lines)


def test_paths_that_do_not_exist_are_counted_together(control: Handle) -> None:
    control.ask("GET", "/one")
    control.ask("GET", "/two")
    lines = control.ask("GET", "/metrics").body.decode().splitlines()
    assert 'faregate_requests_total{area="other",status="404"} 2' in lines


def test_a_request_to_a_path_without_a_handler_names_the_path(control: Handle) -> None:
    assert control.ask("GET", "/dashboard").json()["detail"] == "there is nothing at /dashboard"
