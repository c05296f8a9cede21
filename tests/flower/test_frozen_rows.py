"""A site answers one study from one table, in whatever run it is asked."""

from tests.flower.test_one_round import codes, run


def test_a_changed_table_is_refused_in_a_later_run(federation):
    """With a code and a sentence without data; the officer's log says what to do."""
    table = federation.site_file("east").parent / "data.csv"
    header, *rows = table.read_text().splitlines()
    changed, shuffled = ["50.001,7.125", *rows[1:]], rows[::-1]
    found = []
    for number, lines in enumerate((rows, changed, shuffled)):
        table.write_text("\n".join([header, *lines]) + "\n")
        federation.run_id = f"run-{number}"
        grid = federation.grid(record=True)
        found.append(codes(run(federation, grid, quorum=3)))

        assert b"7.125" not in b"".join(grid.replied)
        assert b"snapshots" not in b"".join(grid.replied)

    assert found == [{}, {"east": "data-changed"}, {}]
    assert "restore the table of the first answer" in federation.log("east")
