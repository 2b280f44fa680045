"""Stage fetch: the network -> data/fetched. What came once is not asked for again."""

from sclandmarks import paths
from sclandmarks.io.atomic import write_text
from sclandmarks.io.registry.datasets import choose, load_registry
from sclandmarks.io.sources.fetch import fetch
from sclandmarks.io.sources.store import Store
from sclandmarks.params import load_params
from sclandmarks.runtime.logs import run_stage


def main() -> None:
    recipes = choose(load_registry(), load_params().data.datasets)
    if not paths.DATASETS_LOCK.exists():
        write_text(paths.DATASETS_LOCK, "{}\n")
    store = Store()
    for recipe in recipes.values():
        fetch(recipe.members, store)
    store.finish()


if __name__ == "__main__":
    run_stage(main)
