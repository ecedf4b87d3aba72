"""The lexical model: Qdrant's own BM25, the order of its terms, and the languages it is told from a sample."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.text.bm25 import Bm25Encoder, detect_language, languages

ENGLISH = Bm25Encoder("english", 100.0)


def test_stop_words_go_and_stems_meet() -> None:
    assert ENGLISH.query("the running robots").indices == ENGLISH.query("robot runs").indices
    assert ENGLISH.query("the of and").indices == ()


def test_a_document_weighs_by_bm25() -> None:
    """tf (k + 1) / (tf + k (1 - b + b length / average)), k 1.2, b .75."""
    lexicon = Bm25Encoder("english", 4.0)
    vector = lexicon.document("robot robot walks slowly today quietly")
    weights = dict(zip(vector.indices, vector.values, strict=True))
    bend = 1.2 * (0.25 + 0.75 * 6 / 4)
    (robot,) = lexicon.query("robot").indices
    (walk,) = lexicon.query("walk").indices
    assert weights[robot] == pytest.approx(2 * 2.2 / (2 + bend), rel=1e-5)
    assert weights[walk] == pytest.approx(2.2 / (1 + bend), rel=1e-5)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("english", "A PID-controller's gain (kp = 0.5) keeps over_the foot, e-mail: don't naïve C++ robots!"),
        ("german", "Die Roboter gehen über die Straße, weil es der Regler so will."),
        ("russian", "Роботы ходят по улице, и регулятор держит их."),
        ("arabic", "الروبوتات تمشي في الشارع"),
        ("chinese", "我们今天学习机器人控制的基本原理，以及PID控制器。"),
        ("japanese", "ロボットは人間のように歩くことができる。"),
        ("korean", "로봇은 사람처럼 걸을 수 있습니다."),
        (None, "हिन्दी में क्या है, और کتاب کیا ہے"),
    ],
)
def test_terms_are_the_querys_in_the_texts_order(language: str | None, text: str) -> None:
    lexicon = Bm25Encoder(language, 100.0)
    assert set(lexicon.terms(text)) == set(lexicon.query(text).indices)


def test_terms_stand_in_order_and_repeat() -> None:
    robot, walk, street = (ENGLISH.query(word).indices[0] for word in ("robot", "walk", "street"))
    assert ENGLISH.terms("Robots walk the street; a walking-robot street.") == [
        robot,
        walk,
        street,
        walk,
        robot,
        street,
    ]


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        (
            "english",
            "A walking-robot's 2 gyroscopes, re-tuned: e.g. v1.2_beta",
            [242017537, 1428662464, 19522071, 1079684450, 566055922, 1701593959, 242555882, 249923615, 19522071,
             2022730153],
        ),
        ("chinese", "机器人需要控制。PID 控制器", [787544742, 1867209566, 33134115, 1457411865, 33134115, 1020035259]),
    ],
)  # fmt: skip
def test_stored_terms_are_read_as_ever(language: str, text: str, terms: list[int]) -> None:
    """Indexes hold them: whoever changes this raises LEXICON_VERSION."""
    assert Bm25Encoder(language, 100.0).terms(text) == terms


def test_terms_stand_in_order_where_no_spaces_do() -> None:
    lexicon = Bm25Encoder("chinese", 100.0)
    robot, control = (lexicon.query(word).indices[0] for word in ("机器人", "控制"))
    found = lexicon.terms("机器人需要控制。控制机器人。")
    assert [term for term in found if term in (robot, control)] == [robot, control, control, robot]


@given(st.text(max_size=200))
def test_any_text_has_terms(text: str) -> None:
    terms = ENGLISH.terms(text)
    assert set(terms) <= set(ENGLISH.query(text).indices)
    assert len(set(terms)) >= len(ENGLISH.query(text).indices) - text.count("Σ")  # its lower case depends on its place


SAMPLES = {
    "english": "The controller keeps the robot upright because it corrects the error that it has measured. "
    "There is no other way to do this, and so it must be done at every step of the way.",
    "german": "Der Regler hält den Roboter aufrecht, weil er den Fehler ausgleicht, den er gemessen hat. "
    "Es gibt keinen anderen Weg, und so muss es bei jedem Schritt getan werden, den er auf dem Weg macht.",
    "french": "Le régulateur maintient le robot debout parce qu'il corrige l'erreur qu'il a mesurée. "
    "Il n'y a pas d'autre moyen de le faire, et c'est pourquoi il faut le faire à chaque pas de la marche.",
    "spanish": "El controlador mantiene el robot en pie porque corrige el error que ha medido. "
    "No hay otra manera de hacerlo, y por eso hay que hacerlo en cada paso que da por el camino.",
    "italian": "Il regolatore tiene il robot in piedi perché corregge l'errore che ha misurato. "
    "Non c'è un altro modo di farlo, e per questo si deve fare a ogni passo che fa sulla strada.",
    "portuguese": "O controlador mantém o robô de pé porque corrige o erro que mediu. Não há outra forma de o fazer, "
    "e por isso é preciso fazê-lo em cada passo que ele dá pelo caminho que tem de percorrer.",
    "dutch": "De regelaar houdt de robot overeind omdat hij de fout corrigeert die hij heeft gemeten. "
    "Er is geen andere manier om dit te doen, en daarom moet het bij elke stap van de weg worden gedaan.",
    "swedish": "Regulatorn håller roboten upprätt eftersom den rättar till felet som den har mätt. "
    "Det finns inget annat sätt att göra det på, och därför måste det göras vid varje steg på vägen.",
    "russian": "Регулятор держит робота прямо, потому что он исправляет ошибку, которую он измерил. Иначе нельзя.",
    "arabic": "يبقي المتحكم الروبوت واقفا لأنه يصحح الخطأ الذي قاسه، ولا توجد طريقة أخرى للقيام بذلك في كل خطوة.",
    "greek": "Ο ελεγκτής κρατά το ρομπότ όρθιο επειδή διορθώνει το σφάλμα που έχει μετρήσει.",
    "hebrew": "הבקר שומר על הרובוט זקוף כי הוא מתקן את השגיאה שמדד.",
    "chinese": "控制器使机器人保持直立，因为它会纠正测量到的误差。",
    "japanese": "制御器は測定した誤差を修正するので、ロボットは立ち続けることができる。",
    "korean": "제어기는 측정한 오차를 바로잡기 때문에 로봇이 똑바로 서 있습니다.",
    "thai": "ตัวควบคุมทำให้หุ่นยนต์ตั้งตรงเพราะมันแก้ไขข้อผิดพลาดที่วัดได้",
    "tamil": "கட்டுப்படுத்தி ரோபோவை நேராக வைத்திருக்கிறது",
}


@pytest.mark.parametrize("language", SAMPLES)
def test_a_language_is_told_from_a_sample(language: str) -> None:
    assert detect_language(SAMPLES[language] * 2) == language
    assert language in languages()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12345 --- 67890",
        "یہ اردو میں ایک سادہ جملہ ہے اور یہ عربی نہیں ہے۔ روبوٹ سڑک پر چلتا ہے اور گرتا نہیں۔",
        "यह हिन्दी में एक सरल वाक्य है और यह नेपाली नहीं है। रोबोट सड़क पर चलता है।",
        "Humanoidalny robot to maszyna, która swoim wyglądem przypomina człowieka. Większość takich robotów ma głowę, "
        "tułów, dwie ręce oraz dwie nogi, chociaż niektóre z nich składają się tylko z górnej części ciała. "
        "Inżynierowie budują je po to, aby mogły pracować w tym samym otoczeniu co ludzie, i używać tych narzędzi.",
    ],
)
def test_a_language_the_engine_has_not_is_none(text: str) -> None:
    assert detect_language(text) is None


def test_few_latin_words_count_as_english() -> None:
    assert detect_language("# Robots\n\nInstall. Run.") == "english"


@pytest.mark.parametrize("language", ["urdu", "hindi", "klingon", None])
def test_an_unknown_language_has_the_plain_model(language: str | None) -> None:
    lexicon = Bm25Encoder(language, 100.0)
    assert len(lexicon.query("the robots यह किताब").indices) == 4


@pytest.mark.parametrize(("written", "name"), [("English", "english"), (" ZH ", "chinese"), ("ja", "japanese")])
def test_a_language_may_be_written_otherwise(written: str, name: str) -> None:
    text = "the robots 机器人控制 ロボットは"
    assert Bm25Encoder(written, 100.0).query(text) == Bm25Encoder(name, 100.0).query(text)


def test_an_average_of_nothing_is_no_error() -> None:
    assert Bm25Encoder("english", 0.0).document("robot").values


@pytest.mark.parametrize(
    ("name", "language"), [("xquad_en", "english"), ("xquad_es", "spanish"), ("xquad_ar", "arabic")]
)
def test_real_books_are_told(name: str, language: str, shared: Path) -> None:
    pages = sorted((shared / "evals" / name / "content").rglob("*.md"))
    assert detect_language("\n".join(page.read_text(encoding="utf-8") for page in pages)) == language
