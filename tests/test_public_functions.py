"""Importing every module leaves each public function what it is: no submodule takes its name."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType

import pipeline
import trainer

PACKAGES = (pipeline, trainer)


def every_module() -> Iterator[ModuleType]:
    """Import all modules of both packages."""
    for package in PACKAGES:
        yield package
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            yield import_module(found.name)


def test_what_a_package_exports_is_not_one_of_its_modules() -> None:
    for module in list(every_module()):
        for name in getattr(module, "__all__", ()):
            exported = getattr(module, name)
            assert not isinstance(exported, ModuleType), f"{module.__name__}.{name} is a module"
            if inspect.isfunction(exported):
                assert callable(exported)
                inspect.signature(exported)


def test_no_module_of_the_trainer_has_the_name_of_a_public_function() -> None:
    for module in [module for module in every_module() if module.__name__.startswith("trainer")]:
        is_package = hasattr(module, "__path__")
        functions = {name for name, value in vars(module).items() if inspect.isfunction(value)}
        own = module.__name__.rpartition(".")[2]
        assert is_package or own not in functions, f"{module.__name__} has a function {own}"


def test_no_package_exports_the_name_of_one_of_its_modules() -> None:
    modules = list(every_module())
    names = {module.__name__ for module in modules}
    for module in modules:
        taken = {name for name in getattr(module, "__all__", ()) if f"{module.__name__}.{name}" in names}
        assert not taken, f"{module.__name__} exports {taken}, as its modules are called"


def test_train_and_evaluate_are_functions_of_the_trainer() -> None:
    list(every_module())
    assert list(inspect.signature(trainer.train).parameters)[:3] == ["cache", "run_dir", "config"]
    assert list(inspect.signature(trainer.evaluate).parameters)[:2] == ["run_dir", "split"]
    assert not hasattr(trainer, "no_such_name")
