"""The card beside a saved model: it holds what was given, as text, and what the model knows."""

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from mixup_tab import MixupClassifier, MixupRegressor, MixupSearchCV, TableEncoder
from mixup_tab.persistence.model_card import write_model_card

HOSTILE = "a|b\n# *c* <img src=x> `d` [e](f) &lt; $g$ \\|_h_ ~~i~~"
SCORES = pd.DataFrame(
    {"score": ["log-loss", "error"], "value": [0.123456, 1.0], "measured": ["5 folds"] * 2}
)
X = pd.DataFrame({"size": np.arange(40.0), "color": pd.Categorical(["red", "blue"] * 20)})
Y = np.repeat(["no", "yes"], 20)
PARAMS = {"max_epochs": 1, "hidden_layer_sizes": (4,), "random_state": 0}


def write(folder, model, **given):
    path = folder / "loans 1.model.md"
    settings = {
        "title": "Loans",
        "data": {"Rows": "40", "File": "loans.csv"},
        "columns": pd.DataFrame({"column": X.columns, "type": ["number", "category"]}),
        "scores": SCORES,
    }
    write_model_card(path, model, **settings | given)
    return path.read_text(encoding="utf-8")


def tokens(card):
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(card)


def texts(card):
    """All cells, headings and paragraphs of a page, and the kinds of markup in them."""
    inline = [token for token in tokens(card) if token.type == "inline"]
    kinds = {child.type for token in inline for child in token.children}
    return ["".join(child.content for child in token.children) for token in inline], kinds


@pytest.fixture(scope="module")
def classifier():
    return MixupClassifier(0.2, **PARAMS).fit(X, Y)


def test_it_holds_what_was_given_and_what_the_model_knows(tmp_path, classifier):
    card = write(tmp_path, classifier, limits=["Not for loans above 1,000."])
    found, _ = texts(card)
    headings = ["Loans", "Data", "Columns", "Scores", "Parameters", "Versions", "Limits"]
    assert [text for text in found if text in headings] == headings
    assert {"Rows", "40", "no, yes", "category", "0.12346", "1", "5 folds"} <= {*found}
    assert "Predicts which of 2 classes" in card
    assert found.index("Not for loans above 1,000.") < found.index(
        "Missing numbers raise an error."
    )
    assert "Missing and new categories" in card
    assert "mixup-tab 0" in card


def test_only_parameters_that_are_not_the_defaults_are_listed(tmp_path, classifier):
    code = [token.content for token in tokens(write(tmp_path, classifier)) if token.content]
    (listed,) = [text for text in code if text.startswith("MixupClassifier(")]
    again = eval(listed)
    assert again.get_params() == classifier.get_params()
    assert "weight_decay" not in listed


def test_it_says_how_to_load_the_file_beside_it(tmp_path, classifier):
    code = [token.content for token in tokens(write(tmp_path, classifier)) if token.content]
    assert any("load_model('loans 1.model')" in text for text in code)
    assert "mixup-tab predict 'loans 1.model' FILE\n" in code


def test_no_text_of_a_table_is_read_as_markdown(tmp_path, classifier):
    card = write(
        tmp_path,
        classifier,
        title=HOSTILE + " a/b",
        data={HOSTILE: HOSTILE},
        columns=pd.DataFrame({HOSTILE: [HOSTILE]}),
        scores=pd.DataFrame({"score": [HOSTILE]}),
        limits=[HOSTILE],
    )
    found, kinds = texts(card)
    shown = HOSTILE.replace("\n", " ")
    assert found[0] == shown + " a/b"
    assert found.count(shown) == 6
    assert kinds <= {"text", "text_special", "softbreak"}


def test_code_blocks_end_where_they_should(tmp_path):
    model = LogisticRegression(solver="liblinear", C=1.0).fit(X[["size"]], Y)
    model.solver = "```\n# Not a heading"
    found, _ = texts(write(tmp_path, model))
    assert "Not a heading" not in found


def test_many_columns_are_folded(tmp_path, classifier):
    columns = pd.DataFrame({"column": [f"x{number}" for number in range(31)]})
    assert "<details>" in write(tmp_path, classifier, columns=columns)
    assert "<details>" not in write(tmp_path, classifier, columns=columns[:30])


def test_no_scores_are_said_to_be_none(tmp_path, classifier):
    card = write(tmp_path, classifier, scores=pd.DataFrame())
    assert texts(card)[0].count("None given.") == 1


def test_the_labels_can_be_given(tmp_path, classifier):
    card = write(tmp_path, classifier, data={"Classes": "refused, granted"})
    assert "refused, granted" in card
    assert "no, yes" not in card


def test_what_happens_to_gaps_is_what_the_model_does(tmp_path):
    encoder = "become the median of the training rows"
    pipeline = make_pipeline(TableEncoder(), MixupClassifier(0.2, **PARAMS)).fit(X, Y)
    assert encoder in write(tmp_path, pipeline)
    kept = make_pipeline(TableEncoder(impute=False), MixupClassifier(0.2, **PARAMS)).fit(X, Y)
    assert encoder not in write(tmp_path, kept)
    gaps = pd.DataFrame({"size": [np.nan], "color": pd.Categorical(["green"])})
    known = gaps.assign(color=pd.Categorical([None], ["red"]))
    assert (pipeline.predict_proba(gaps) == pipeline.predict_proba(known)).all()
    search = MixupSearchCV(MixupRegressor(**PARAMS), {"alpha": [0, 1]}, cv=2)
    card = write(tmp_path, search.fit(X[["size"]], X["size"]))
    assert "Missing numbers raise an error." in card
    assert "new categories" not in card
    assert "Predicts a number" in card
    with pytest.raises(ValueError, match="NaN"):
        search.predict(gaps[["size"]])


def test_a_folder_that_is_not_there_is_named(tmp_path, classifier):
    with pytest.raises(OSError, match="cannot be written"):
        write(tmp_path / "gone", classifier)
