"""A Telegram bot of aiogram: its polling loop, a handler that makes a song for each message."""

import asyncio
import sys

from aiogram import Bot, Dispatcher, types
from aiogram.client.session.base import BaseSession
from aiogram.methods import DeleteWebhook, GetMe, GetUpdates, SendMessage

from aimusic_async import MusicSession

MESSAGES = ("rain", "sun", "snow")
USER = {"id": 7, "is_bot": True, "first_name": "bot", "username": "bot"}


class Telegram(BaseSession):
    """Stands for Telegram: three messages come, and the answers are kept."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.asked = 0

    async def make_request(self, bot, method, timeout=None):
        """Answer one request of the bot."""
        match method:
            case GetMe():
                return types.User(**USER)
            case GetUpdates():
                self.asked += 1
                if self.asked == 1:
                    return [self._message(number, text) for number, text in enumerate(MESSAGES, 1)]
                await asyncio.sleep(0.05)
                return []
            case SendMessage():
                self.sent.append(method.text)
                return types.Message(message_id=99, date=0, chat={"id": 1, "type": "private"})
            case DeleteWebhook():
                return True
        return True

    def _message(self, number, text):
        message = {"message_id": number, "date": 0, "chat": {"id": 1, "type": "private"}, "text": text}
        return types.Update(update_id=number, message=message)

    async def stream_content(self, *_args, **_options):
        """Stream nothing: no file is asked for."""
        yield b""

    async def close(self):
        """Close nothing."""


async def main():
    """Let the bot poll until all have their song."""
    telegram = Telegram()
    dispatcher = Dispatcher()
    async with MusicSession(journal=sys.argv[1]) as music:

        @dispatcher.message()
        async def compose(message: types.Message):
            song = await music.sonic.create_music(prompt=message.text, mv="sonic-v5")
            await message.answer(song.task_id)
            if len(telegram.sent) == len(MESSAGES):
                await dispatcher.stop_polling()

        bot = Bot("42:token", session=telegram)
        await dispatcher.start_polling(bot, handle_signals=False)
    assert len(set(telegram.sent)) == len(MESSAGES)
    print("OK")


asyncio.run(main())
