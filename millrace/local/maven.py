"""Maven coordinates in, jar files out, through the Maven utilities that ship with Spark (so mirrors, proxies and ``~/.m2`` work as they do there).

Called by ``millrace.local.fetch``. What Ivy prints goes to a file beside the download, never to the user.
"""

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from py4j.java_gateway import JavaGateway
from py4j.protocol import Py4JError, Py4JJavaError
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

_UNRESOLVED = re.compile(r"unresolved dependency: ([^\s:]+)")


class RepositoryUnavailable(Exception):
    """Coordinates could not be resolved; the message says which, or why Java did not start."""


@dataclass(frozen=True)
class MavenResolver:
    """Resolves coordinates in a folder of its own, which ends with ``maven_resolver``; copy what is to be kept."""

    gateway: JavaGateway
    ivy: Path

    def resolve(self, coordinates: Iterable[str], *, leave_out: Iterable[str] = (), transitive: bool = True) -> dict[str, Path]:
        """Coordinate → jar, for the coordinates and (when ``transitive``) all they need; RepositoryUnavailable after three attempts."""
        wanted = ",".join(coordinates)
        for attempt in Retrying(retry=retry_if_exception_type(RepositoryUnavailable), stop=stop_after_attempt(3), wait=wait_exponential(), reraise=True):
            with attempt:
                jars = self._attempt(wanted, leave_out, transitive)
        return {self._coordinate(jar): jar for jar in jars}

    def _attempt(self, wanted: str, leave_out: Iterable[str], transitive: bool) -> list[Path]:
        jvm = self.gateway.jvm
        log = jvm.java.io.PrintStream(str(self.ivy / "ivy.log"))
        nothing = jvm.scala.Option.empty()
        exclusions = jvm.scala.collection.mutable.ListBuffer()
        for pattern in leave_out:
            exclusions.append(pattern)
        maven = jvm.org.apache.spark.util.MavenUtils
        try:
            settings = maven.buildIvySettings(nothing, jvm.scala.Option.apply(str(self.ivy)), True, log)
            found = maven.resolveMavenCoordinates(wanted, settings, nothing, transitive, exclusions.toList(), False, log)
        except Py4JJavaError as error:
            unresolved = _UNRESOLVED.findall(str(error.java_exception.getMessage()))
            raise RepositoryUnavailable(", ".join(name.replace("#", ":").replace(";", ":") for name in unresolved[:3]) or wanted[:80]) from None
        return [Path(found.apply(index)) for index in range(found.size())]

    def _coordinate(self, jar: Path) -> str:
        """Ivy names a jar group_artifact-version, and groups may hold an underscore: its cache tells where the group ends."""
        modules = (module.relative_to(self.ivy / "cache").parts for module in (self.ivy / "cache").glob("*/*"))
        group, artifact = max((module for module in modules if jar.name.startswith(f"{'_'.join(module)}-")), key=lambda module: len("_".join(module)))
        return f"{group}:{artifact}:{jar.stem.removeprefix(f'{group}_{artifact}-')}"


@contextmanager
def maven_resolver() -> Iterator[MavenResolver]:
    """A resolver, its Java process and its folder; RepositoryUnavailable when Java does not start."""
    with tempfile.TemporaryDirectory(prefix="millrace-ivy-") as folder, (Path(folder) / "java.log").open("wb") as log:
        try:
            gateway = launch_gateway(popen_kwargs={"stdout": log, "stderr": log})
        except (PySparkRuntimeError, Py4JError, OSError) as error:
            raise RepositoryUnavailable(f"Java did not start: {error}") from None
        try:
            yield MavenResolver(gateway, Path(folder))
        finally:
            gateway.shutdown()
            gateway.proc.stdin.close()
            gateway.proc.wait()
