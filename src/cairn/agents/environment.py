"""Which variables a client gets: an allow-list. Whatever the client has, the shell of its model may have too.

So a token that some other program left in the parent's environment must not get in here in the first place.
"""

from collections.abc import Collection, Mapping

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
ORDINARY = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR"),
        *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
        *("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"),
        *_PROXIES,
        *(name.lower() for name in _PROXIES),
    }
)


def pick(parent: Mapping[str, str], wanted: Collection[str], extra: Mapping[str, str]) -> dict[str, str]:
    """The ordinary and the wanted variables of the parent; `extra` is added as it is and wins."""
    names = ORDINARY | set(wanted)
    return {**{name: parent[name] for name in names if name in parent}, **extra}
