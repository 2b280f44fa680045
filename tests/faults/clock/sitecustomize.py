"""On the path of a process this moves its clock a day back or forth at each look; time that only runs stays."""

import datetime
import random
import time

_date, _draw, _time = datetime.datetime, random.Random(0), time.time


class _Stepping(_date):
    @classmethod
    def now(cls, tz=None):
        return _date.now(tz) + datetime.timedelta(days=_draw.choice([-1, 0, 1]))


datetime.datetime = _Stepping
time.time = lambda: _time() + 86400 * _draw.choice([-1, 0, 1])
