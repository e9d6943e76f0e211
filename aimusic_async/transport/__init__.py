"""One HTTP request, safely: was it sent?"""
