import pytest

from benchmarks.page_vs_kernel import main, measure, neural_sde


def test_it_prints_a_ratio_for_each_case(capsys):
    main(["mlp", "--repeats", "1"])
    head, line = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "case" and line.split()[0] == "mlp" and " x " in line


def test_the_page_reaches_half_of_torch():
    """The target for exported experiments; this one is about eight times as fast: a busy machine passes."""
    step, args = neural_sde()
    result = measure(step, args, repeats=3, wasm=True)
    assert result["ratio"] > 0.5 and result["trace"] + result["lower"] < 10 and result["gzip"] < 40


def test_unknown_cases_and_bad_numbers_are_refused():
    with pytest.raises(SystemExit, match="unknown case 'none'; there are: mlp, neural_sde"):
        main(["none"])
    with pytest.raises(SystemExit):
        main(["--repeats", "0"])
