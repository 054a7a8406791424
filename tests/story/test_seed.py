import msgspec

from faregate.apps.cli.catalog_file import read_catalog_file
from faregate.apps.story.seed import seed_catalog
from faregate.wire.api.catalog_document import CatalogDocument
from tests.support.tree import ROOT


def test_the_seed_is_the_example_catalog() -> None:
    example = read_catalog_file(ROOT / "examples/catalog.yaml").document
    seed = seed_catalog(upstream_url=example["routes"][0]["upstream_url"])
    read = [msgspec.json.decode(msgspec.json.encode(document), type=CatalogDocument) for document in (seed, example)]
    assert read[0] == read[1]
